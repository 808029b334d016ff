-- Balcony on Prosody 0.12, trusted with the users' contact lists (XEP-0356). It needs mod_privilege,
-- which Debian has in the package prosody-modules. Put your names in and save it as
-- /etc/prosody/conf.d/aim.example.net.cfg.lua; README.md beside this file has the rest.

-- Your host is opened again here; what it has elsewhere stays, except for the two options below.
-- If it has one of them elsewhere, add to it there what stands here.
VirtualHost "example.net"
  modules_enabled = { "privilege" }
  privileged_entities = {
    -- One line for each gateway, all of them in this one table.
    ["aim.example.net"] = { roster = "both", message = "outgoing" },
  }

Component "aim.example.net"
  modules_enabled = { "privilege" }

  -- The same as `secret` in balcony.toml. `openssl rand -hex 32` makes one.
  component_secret = "CHANGE ME"

  -- No `name` here: with one, Prosody answers for a gateway that is down, and answers wrongly.

  -- Only when the gateway runs on another machine than Prosody: let a new link replace an old one
  -- that may be half dead. Then never run two gateways, they would throw each other out.
  -- component_conflict_resolve = "kick_old"
