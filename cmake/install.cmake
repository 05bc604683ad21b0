# What `cmake --install` puts where: program, static library, header (include/CMakeLists.txt), pkg-config file, man page.
install(TARGETS hyperc-program RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS hyperc ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES docs/hyperc.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# The library is static: whoever links it needs its libraries too, `pkg-config --static`.
set(HYPERC_PC_LIBS ${OpenMP_C_FLAGS})
if(HYPERC_HAVE_CUDA)
  string(APPEND HYPERC_PC_LIBS " -L${CUDAToolkit_LIBRARY_DIR} -lcudart -lstdc++ -ldl")
endif()
if(HYPERC_HAVE_NCCL)
  string(APPEND HYPERC_PC_LIBS " ${NCCL_LIBRARY}")
endif()
if(HYPERC_HAVE_MPI)
  list(JOIN MPI_C_LIBRARIES " " libraries)
  string(APPEND HYPERC_PC_LIBS " ${libraries}")
endif()
# The file finds the tree by its own place, so that the tree can be moved.
set(pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH HYPERC_PC_PREFIX /${pkgconfig_dir} /)
string(REGEX REPLACE "/$" "" HYPERC_PC_PREFIX ${HYPERC_PC_PREFIX})
configure_file(cmake/hyperc.pc.in hyperc.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/hyperc.pc DESTINATION ${pkgconfig_dir})
