"""What the gateway costs: `scripts/bench`. docs/performance.md says what is measured, and how."""
