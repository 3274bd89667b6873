"""OpenAI's Images API: pictures that are drawn from a prompt, or edited from pictures of ours."""
