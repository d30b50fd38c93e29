# Checks of the tree itself, as tests. They read the sources, so one preset (dev) runs them for all.
if(NOT Python3_FOUND)
  message(STATUS "weft: the checks are left out, python3 was not found")
  return()
endif()

foreach(check layers headers docs include_cost)
  set(script ${PROJECT_SOURCE_DIR}/tools/check_${check}.py)
  if(check STREQUAL "include_cost")
    set(script ${PROJECT_SOURCE_DIR}/tools/include_cost.py)
  endif()
  # Nothing is compiled anew whose inputs did not change; the first run on a slow machine is long.
  weft_register(check.${check} COMMAND Python3::Interpreter ${script} --build ${PROJECT_BINARY_DIR}
                LABEL checks TIMEOUT 1200)
endforeach()
weft_register(check.layers.self_test
              COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_layers.py --self-test
              LABEL checks TIMEOUT 60)
set_tests_properties(check.headers PROPERTIES PROCESSORS 2)  # it compiles on both cores
