# Warnings of our own code.
add_compile_options(-Wall -Wextra -Wpedantic -Wshadow)
if(CAIRN_WERROR)
  add_compile_options(-Werror)
endif()
