# One object library a layer folder that has sources, all combined in the static library `weft`.
include(GNUInstallDirs)

add_library(weft STATIC)
add_library(weft::weft ALIAS weft)
weft_apply_usage(weft)

set(WEFT_BUILT_LAYERS "")
set(WEFT_PRIVATE_LIBS "")  # for pkg-config and ./run: what the archive needs besides itself
set(WEFT_USES_OPENSSL FALSE)
foreach(layer IN LISTS WEFT_LAYERS)
  weft_files(sources ${layer} source)
  if(NOT sources)
    continue()
  endif()
  if(layer STREQUAL "tls" AND NOT OpenSSL_FOUND)
    message(STATUS "weft: tls is left out, OpenSSL was not found (libssl-dev)")
    continue()
  endif()
  add_library(weft_${layer} OBJECT ${sources})
  weft_apply_usage(weft_${layer})
  weft_apply_warnings(weft_${layer})
  target_sources(weft PRIVATE $<TARGET_OBJECTS:weft_${layer}>)
  list(APPEND WEFT_BUILT_LAYERS ${layer})
endforeach()

if(TARGET weft_tls)
  target_link_libraries(weft_tls PRIVATE OpenSSL::SSL OpenSSL::Crypto)
  target_link_libraries(weft PRIVATE OpenSSL::SSL OpenSSL::Crypto)
  set(WEFT_USES_OPENSSL TRUE)
  list(APPEND WEFT_PRIVATE_LIBS -lssl -lcrypto)
endif()
if(TARGET weft_http AND TARGET llhttp)
  # Its objects go into our archive: whoever uses an installed weft needs nothing more.
  target_link_libraries(weft_http PRIVATE llhttp)
  target_sources(weft PRIVATE $<TARGET_OBJECTS:llhttp>)
endif()

if(NOT WEFT_BUILT_LAYERS)  # an archive needs at least one object
  file(WRITE ${PROJECT_BINARY_DIR}/empty.cpp "")
  target_sources(weft PRIVATE ${PROJECT_BINARY_DIR}/empty.cpp)
endif()
