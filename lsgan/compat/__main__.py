from lsgan.compat import program

program.main()
