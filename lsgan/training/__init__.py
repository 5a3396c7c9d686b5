"""The training that all experiments share: flags, one GAN step, extensions of the trainer, the run folder."""
