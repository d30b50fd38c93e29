# Checks of the tree itself, as tests. They read the sources, so one preset (dev) runs them for all; what
# depends on the compiler is run by one preset for each.
if(NOT Python3_FOUND)
  message(STATUS "weft: the checks are left out, python3 was not found")
  return()
endif()

# Nothing is compiled anew whose inputs did not change; the first run on a slow machine is long.
if(WEFT_COMPILER_CHECKS)
  weft_register(check.headers
                COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_headers.py
                        --build ${PROJECT_BINARY_DIR} --compilers ${CMAKE_CXX_COMPILER}
                LABEL checks TIMEOUT 1200 PROCESSORS 2)  # it compiles on both cores
endif()
if(NOT WEFT_CHECKS)
  return()
endif()

foreach(check layers docs include_cost)
  set(script ${PROJECT_SOURCE_DIR}/tools/check_${check}.py)
  if(check STREQUAL "include_cost")
    set(script ${PROJECT_SOURCE_DIR}/tools/include_cost.py --public)
  endif()
  weft_register(check.${check} COMMAND Python3::Interpreter ${script} --build ${PROJECT_BINARY_DIR}
                LABEL checks TIMEOUT 1200)
endforeach()
weft_register(check.layers.self_test
              COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_layers.py --self-test
              LABEL checks TIMEOUT 60)
weft_register(check.behaviours
              COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_behaviours.py
              LABEL checks TIMEOUT 60)
weft_register(check.behaviours.self_test
              COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/check_behaviours.py --self-test
              LABEL checks TIMEOUT 60)
foreach(check cancel_rows fiber_awaits models)
  set(script ${PROJECT_SOURCE_DIR}/tools/check_${check}.py)
  weft_register(check.${check} COMMAND Python3::Interpreter ${script} LABEL checks TIMEOUT 60)
  weft_register(check.${check}.self_test COMMAND Python3::Interpreter ${script} --self-test
                LABEL checks TIMEOUT 60)
endforeach()
