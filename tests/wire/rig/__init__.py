# SPDX-License-Identifier: MIT
"""rig - scripted trace-cmd clients, and the relay they talk to; tests/wire/README.md says how to use it."""
