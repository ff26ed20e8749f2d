// Sphinx's search fetches the pages that it found, to show excerpts. Pages from file:// can't fetch,
// so that the search shows titles only.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
