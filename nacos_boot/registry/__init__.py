"""This program in Nacos's registry, and the instances of others."""
