"""Answers of a model for half the price, within a day: calls of many steps in one batch at OpenAI.

https://platform.openai.com/docs/guides/batch
"""
