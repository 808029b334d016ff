-- Balcony on Prosody 0.12, without privileges. Put your names in and save it as
-- /etc/prosody/conf.d/aim.example.net.cfg.lua; README.md beside this file has the rest.

Component "aim.example.net"
  -- The same as `secret` in balcony.toml. `openssl rand -hex 32` makes one.
  component_secret = "CHANGE ME"

  -- No `name` here: with one, Prosody answers for a gateway that is down, and answers wrongly.

  -- Only when the gateway runs on another machine than Prosody: let a new link replace an old one
  -- that may be half dead. Then never run two gateways, they would throw each other out.
  -- component_conflict_resolve = "kick_old"
