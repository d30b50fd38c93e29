# llhttp, the HTTP/1 head parser, built from the C source that Debian ships: target `llhttp`.
#
# Nothing is fetched. Debian's package node-llhttp carries the complete generated C (llhttp.c, api.c,
# http.c and the header) under share/; WEFT_LLHTTP_ROOT names another prefix laid out the same way.
# Strict mode is not an option here: it is part of what weft/http promises about smuggling.

if(TARGET llhttp)
  return()
endif()

set(WEFT_LLHTTP_ROOT "" CACHE PATH "prefix that holds share/llhttp/llhttp.c (Debian: node-llhttp)")

find_path(WEFT_LLHTTP_SOURCE_DIR NAMES llhttp.c
  HINTS ${WEFT_LLHTTP_ROOT} PATH_SUFFIXES share/llhttp llhttp/src src)
find_path(WEFT_LLHTTP_INCLUDE_DIR NAMES llhttp/llhttp.h
  HINTS ${WEFT_LLHTTP_ROOT} PATH_SUFFIXES share/include include)
mark_as_advanced(WEFT_LLHTTP_SOURCE_DIR WEFT_LLHTTP_INCLUDE_DIR)

if(NOT WEFT_LLHTTP_SOURCE_DIR OR NOT WEFT_LLHTTP_INCLUDE_DIR)
  message(FATAL_ERROR
    "weft/http needs the C source of llhttp, which was not found.\n"
    "  Debian and Ubuntu: apt install node-llhttp\n"
    "  elsewhere: point -DWEFT_LLHTTP_ROOT at a prefix with share/llhttp/*.c and "
    "share/include/llhttp/llhttp.h")
endif()

enable_language(C)
add_library(llhttp STATIC
  ${WEFT_LLHTTP_SOURCE_DIR}/llhttp.c
  ${WEFT_LLHTTP_SOURCE_DIR}/api.c
  ${WEFT_LLHTTP_SOURCE_DIR}/http.c)
# SYSTEM: the header is not ours to warn about. The sources include "llhttp.h" without the folder.
target_include_directories(llhttp SYSTEM
  PUBLIC ${WEFT_LLHTTP_INCLUDE_DIR}
  PRIVATE ${WEFT_LLHTTP_INCLUDE_DIR}/llhttp)
# PUBLIC, so that a user of the header cannot see other struct rules than the source was built with.
target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
target_compile_options(llhttp PRIVATE -w)
set_target_properties(llhttp PROPERTIES
  C_STANDARD 11 POSITION_INDEPENDENT_CODE ON C_VISIBILITY_PRESET hidden EXPORT_NAME llhttp)
