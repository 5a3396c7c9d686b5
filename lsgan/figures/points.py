def scatter(file, samples, centers, sigma, title):
    import matplotlib; matplotlib.use('Agg')
    from matplotlib.figure import Figure
    f=Figure(figsize=(4,4),dpi=100); ax=f.subplots(); ax.scatter(*samples.T,s=2); ax.set_title(title); f.savefig(file,format='png')
