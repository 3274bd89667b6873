"""What the models of the imitated OpenAI read and write, in whatever family they are asked."""
