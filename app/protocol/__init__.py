"""What happens to rows: claims, intents, outcomes; each function calls one SQL function."""
