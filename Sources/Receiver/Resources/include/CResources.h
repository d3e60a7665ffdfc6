// The files beside CResources.c, as text. They are in the program, which reads no file of its own at run time.
#pragma once

// The HTTP interface in OpenAPI 3.1.
const char *shelly_openapi_json(void);

// The page at /docs, which ops/dev/docs.py writes from openapi.json, and its style.
const char *shelly_docs_html(void);
const char *shelly_docs_css(void);

// The style of the status and device pages, and the script that keeps them up to date.
const char *shelly_page_css(void);
const char *shelly_page_js(void);
