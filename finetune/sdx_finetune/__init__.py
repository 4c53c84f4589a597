"""From examples to a deployable model: tokenizer, training, evaluation, export. Start at recipe.py."""
