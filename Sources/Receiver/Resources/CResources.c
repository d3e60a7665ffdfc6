// Here #embed (C23) compiles in no time; SwiftPM's `.embedInCode` makes arrays that the Swift compiler needs 20 s for.
#include "CResources.h"

static const char openapi_json[] = {
#embed "openapi.json" suffix(, 0)
};

static const char docs_html[] = {
#embed "docs.html" suffix(, 0)
};

static const char docs_css[] = {
#embed "docs.css" suffix(, 0)
};

static const char page_css[] = {
#embed "page.css" suffix(, 0)
};

static const char page_js[] = {
#embed "page.js" suffix(, 0)
};

const char *shelly_openapi_json(void) { return openapi_json; }

const char *shelly_docs_html(void) { return docs_html; }

const char *shelly_docs_css(void) { return docs_css; }

const char *shelly_page_css(void) { return page_css; }

const char *shelly_page_js(void) { return page_js; }
