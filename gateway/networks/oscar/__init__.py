"""AIM and ICQ, which are one protocol: OSCAR."""
