"""Reads options files of FlexNet and RLM, and says them in the words of a set-up file."""
