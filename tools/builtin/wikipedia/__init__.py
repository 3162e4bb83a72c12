"""Wikipedia, in any of its languages (MediaWiki's Action API)."""

from tools.schemas import word
from tools.vendor import Vendor

WIKIPEDIA = Vendor(slug="wikipedia", brand="Wikipedia", base="https://{language}.wikipedia.org", auth_mode="none")
LANGUAGE = word("Code of the language.", default="en", pattern="^[a-z]{2,3}(-[a-z]+)*$")
