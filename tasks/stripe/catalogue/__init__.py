"""What is sold: products, and their prices."""
