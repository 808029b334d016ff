"""Legacy services for the bench, as light as can be: they cost less than what is measured.

Each is a process of its own, which is not charged to anyone. It lets everybody sign in, gives each
user the same online contacts, and returns each message from the contact it was sent to.
"""
