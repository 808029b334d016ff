// Romeo's Jabber client: signed in by itself, with Juliet's chat open.
import "./quiet.js";
import "./dist/converse.min.js";

const stage = await (await fetch(`stage.json${location.search}`)).json();
const dark = matchMedia("(prefers-color-scheme: dark)").matches;

window.converse.plugins.add("demo", {
  initialize() {
    const { api } = this._converse;
    window.demo = api; // for who looks at the demo from outside
    if (stage.contact) api.listen.on("rosterContactsFetched", () => api.chats.open(stage.contact));
  },
});
window.converse.initialize({
  websocket_url: stage.websocket,
  discover_connection_methods: false,
  authentication: "login",
  auto_login: true,
  jid: stage.jid,
  password: stage.password,
  whitelisted_plugins: ["demo"],
  blacklisted_plugins: ["converse-omemo"],
  view_mode: "fullscreen",
  theme: dark ? "dracula" : "classic",
  assets_path: "/dist/",
  persistent_store: "sessionStorage",
  i18n: "en",
  loglevel: "error",
  allow_registration: false,
  allow_muc: false,
  auto_list_rooms: false,
  allow_non_roster_messaging: true,
  show_background: false,
  show_desktop_notifications: false,
  play_sounds: false,
});
