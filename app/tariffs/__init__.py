"""What the use of platforms costs: dated prices, those that ship and those of the operators."""
