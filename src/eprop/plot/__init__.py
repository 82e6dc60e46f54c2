"""placeholder"""
def draw_run(path, out=None):
    return []
