"""The step protocol: claims, leases, intents and outcomes. Most functions call one SQL function."""
