"""Networks: generators, discriminators, and the networks that metrics use."""
