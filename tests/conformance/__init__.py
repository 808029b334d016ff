"""Which requirements the tests show: the rows, the page of them, and what a test run says of it."""
