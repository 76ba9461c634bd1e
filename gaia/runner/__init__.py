"""Executing plans: tasks, the scheduler that orders them, and the engines that run them."""
