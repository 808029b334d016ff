// Converse.js shows its sponsors' logos, which it fetches from afar: here nothing is.
customElements.define("converse-footer", class extends HTMLElement {});
