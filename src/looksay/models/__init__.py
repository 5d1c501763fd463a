"""Networks: images and tokens to logits."""
