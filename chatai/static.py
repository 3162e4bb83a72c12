"""Static files with a hash in their name, modules that import each other included."""

from django.contrib.staticfiles.storage import ManifestStaticFilesStorage


class ManifestStorage(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = True
