"""Between a script, which calls people by their names, and a network that calls them otherwise."""

from xml.etree import ElementTree as ET


class Interpreter:
    """Says everything as it is; others change the names in it."""

    def to_network(self, text: str) -> str:
        return text

    def from_network(self, text: str) -> str:
        return text

    def heard(self, stanza: ET.Element) -> ET.Element:
        """Change a stanza that came into the script's words."""
        for element in stanza.iter():
            for name, value in element.attrib.items():
                element.set(name, self.from_network(value))
            element.text = None if element.text is None else self.from_network(element.text)
            element.tail = None if element.tail is None else self.from_network(element.tail)
        return stanza
