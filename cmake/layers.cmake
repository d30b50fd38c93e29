# The layers and what is found in their folders. The order is the one of ARCHITECTURE.md; which may
# include which is checked by tools/check_layers.py, not by CMake.
set(WEFT_LAYERS
    base os queue timer fiber task sync channel together io runtime shared net dns fs process signal tty
    tls http observe sim testing)

# Sets <out> to the files of <layer> of one kind: source, test, stress, model, fuzz, bench.
# weft/testing/model is not part of `testing`: it is the interleaving checker, a library of its own.
function(weft_files out layer kind)
  set(folder ${PROJECT_SOURCE_DIR}/weft/${layer})
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${folder}/*.cpp ${folder}/*.S)
  if(NOT layer STREQUAL "testing/model")
    list(FILTER found EXCLUDE REGEX "/weft/testing/model/")
  endif()
  if(kind STREQUAL "source")
    list(FILTER found EXCLUDE REGEX "_(test|stress|model|fuzz|bench)(_support)?\\.cpp$")
  else()
    if(kind MATCHES "test|stress")  # one program a layer, so x_test_support.cpp is simply part of it
      set(support "(_support)?")
    endif()
    list(FILTER found INCLUDE REGEX "_${kind}${support}\\.cpp$")
  endif()
  set(chosen "")
  foreach(file IN LISTS found)
    weft_is_for_this_platform(ours ${file})
    if(ours)
      list(APPEND chosen ${file})
    endif()
  endforeach()
  set(${out} ${chosen} PARENT_SCOPE)
endfunction()
