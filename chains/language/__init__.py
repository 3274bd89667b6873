"""The language of definitions: nodes, expressions, schemas, and what can be wrong. Pure."""
