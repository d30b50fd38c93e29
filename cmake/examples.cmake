# examples/NAME.cpp is the program example_NAME.
file(GLOB examples CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/examples/*.cpp)
foreach(file IN LISTS examples)
  get_filename_component(stem ${file} NAME_WE)
  add_executable(example_${stem} ${file})
  target_link_libraries(example_${stem} PRIVATE weft::weft)
  weft_apply_warnings(example_${stem})
endforeach()
