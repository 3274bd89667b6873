"""The language of definitions: nodes, expressions, schemas, and checks of each. Pure."""
