"""AWS on one port of 127.0.0.1: moto, plus what moto lacks and Spot Handoff needs."""
