# cmake -DROOT=... -DOUT=... -P revision.cmake: what the sources are, as a C++ string; touched only when it changes.
find_program(GIT git)
set(revision "")
if(GIT)
  execute_process(COMMAND ${GIT} -C ${ROOT} describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE revision OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
string(REGEX REPLACE "-dirty$" " with local changes" revision "${revision}")
file(CONFIGURE OUTPUT ${OUT} CONTENT "\"${revision}\"\n")
