"""The training that all experiments share: flags, one GAN step, what watches it, the run folder."""
