"""The engines that are measured, one module each, behind the port in `base`."""
