// Sphinx's search fetches the pages that it found, to show an excerpt of each. A page from a folder
// may not fetch: there, the search shows titles only.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
