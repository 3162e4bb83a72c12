HOSTILE: dict[str, str] = {}
