"""What pages need to name files of the web UI."""

from django import template
from django.templatetags.static import static

from authentik import VERSION

register = template.Library()


@register.simple_tag
def versioned_script(path: str) -> str:
    """The address of a file whose name has the version at `%v`."""
    return static(path.replace("%v", VERSION))
